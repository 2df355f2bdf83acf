" Syntax of Muster's rule files. Made by `muster reference vim` from rules/lang/*.def.
" Copy it to ~/.vim/syntax/muster.vim, and into ~/.vim/filetype.vim:
"   au BufRead,BufNewFile *.rules setfiletype muster
if exists("b:current_syntax")
  finish
endif
setlocal iskeyword=@,48-57,_,.
setlocal commentstring=#\ %s
setlocal expandtab shiftwidth=2

syntax match musterCode /\v<[A-Z][A-Z0-9_]+>/
syntax match musterId /\v<[A-Z][A-Z0-9]*(-[A-Z0-9]+)+>/
syntax match musterNumber /\v<[0-9][0-9_]*(\.[0-9]+)?(\%|[smhd]>)?/
syntax match musterClock /\v<[0-9]{1,2}:[0-9]{2}>/
syntax match musterDate /\v<[0-9]{4}-[0-9]{2}-[0-9]{2}>/
syntax keyword musterBlock ruleset list text memory fact typology rule test
syntax keyword musterClause timezone base stale after any never from keep hub budget for each offence alert at indicator indicators families including half_life cap per urgent version status family evidence source why owner review by param let when then within unless points to as once say except until because start given every x expect hit on with nothing member
syntax keyword musterSource in out transfers refunds reversals
syntax keyword musterOperator and or not where of over is known missing new matches default age usual since step hops along middle
syntax keyword musterConstant draft shadow live retired act means purpose yes no CASH monday tuesday wednesday thursday friday saturday sunday
syntax keyword musterField sender receiver sender.party receiver.party sender.device receiver.device sender.phone receiver.phone sender.address receiver.address terminal place sender.country receiver.country place.country amount currency kind channel purpose mcc narrative local_time weekday cross_border corridor time account other other.party other.country other.device other.phone other.address account.party account.country account.device account.phone account.address party device phone address pair transfer
syntax keyword musterFunction count sum distinct min max avg first last
syntax match musterHole /{\w\+}/ contained
syntax region musterString start=/"/ end=/"/ oneline contains=musterHole
syntax match musterPattern /\v(any|never|,)\s*\zs\/[^\/]*(\\.[^\/]*)*\/i?/
syntax match musterComment /#.*$/

highlight default link musterDate Number
highlight default link musterClock Number
highlight default link musterNumber Number
highlight default link musterId Tag
highlight default link musterCode Constant
highlight default link musterBlock Structure
highlight default link musterClause Statement
highlight default link musterSource Type
highlight default link musterOperator Operator
highlight default link musterConstant Constant
highlight default link musterField Identifier
highlight default link musterFunction Function
highlight default link musterString String
highlight default link musterHole Special
highlight default link musterPattern SpecialChar
highlight default link musterComment Comment
let b:current_syntax = "muster"
