-- The rules of bench/peers/window in PostgreSQL, as a team would write them: one indexed table of legs, and a function that
-- takes the next events of the feed and asks all rules of every account that they touch.
--
-- A session works in a schema of its own (search_path) on the accounts that fall to it; sessions share nothing but the feed.
-- Windows are (clock - width, clock], the clock the newest time at which the rule looked at the account: what Muster does.
create table leg (
    account  text not null,
    t        bigint not null,  -- ms since 1970
    seq      bigint not null,  -- order of the feed
    incoming boolean not null,
    other    text,             -- null: cash
    amount   bigint not null   -- minor units
);
create index leg_account_t on leg (account, t);

create table hit (
    rule    text not null,
    id      text not null,
    account text not null
);

-- Takes the events first..last of the feed: writes their legs and the hits of all five rules. part of parts: this session's accounts.
create function take(first bigint, last bigint, part int, parts int) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off set work_mem = '16MB'
as $$
begin
    insert into leg
    select account, t, seq, incoming, other, amount
    from public.feed, lateral (values (sender, false, receiver), (receiver, true, sender)) as side (account, incoming, other)
    where seq between first and last and account is not null and (parts = 1 or hashtext(account) & 1 = part);

    insert into hit
    select rule, id, account
    from (
        select feed.id, side.account, seen.*, side.goes_in, side.goes_out, side.goes_in and feed.amount < 30000 as goes_small
        from public.feed,
             lateral (select account, bool_or(incoming) as goes_in, bool_or(not incoming) as goes_out
                      from (values (sender, false), (receiver, true)) as ends (account, incoming)
                      where account is not null and (parts = 1 or hashtext(account) & 1 = part)
                      group by account) as side,
             -- the rules' clocks: later than the event only where that came late
             lateral (select greatest(max(leg.t) filter (where incoming), feed.t) as t_in,
                             greatest(max(leg.t) filter (where not incoming), feed.t) as t_out,
                             greatest(max(leg.t) filter (where incoming and leg.amount < 30000), feed.t) as t_small,
                             greatest(max(leg.t), feed.t) as t_any
                      from leg where leg.account = side.account and leg.t >= feed.t and leg.seq <= feed.seq) as clock,
             lateral (select count(distinct other) filter (where incoming and leg.t > t_in - 345600000) as payers,
                             count(distinct other) filter (where not incoming and leg.t > t_out - 345600000) as paid,
                             count(*) filter (where incoming and leg.amount < 30000 and leg.t > t_small - 86400000) as credits,
                             sum(leg.amount) filter (where incoming and leg.amount < 30000 and leg.t > t_small - 86400000) as pooled,
                             sum(leg.amount) filter (where not incoming and leg.t > t_out - 86400000) as large,
                             sum(leg.amount) filter (where incoming and leg.t > t_any - 259200000) as came,
                             sum(leg.amount) filter (where not incoming and leg.t > t_any - 259200000) as went
                      from leg where leg.account = side.account and leg.t > feed.t - 345600000 and leg.seq <= feed.seq) as seen
        where feed.seq between first and last
    ) as looked,
    lateral (values ('FAN-IN', goes_in and payers >= 137),
                    ('FAN-OUT', goes_out and paid >= 55),
                    ('SMALL-IN', goes_small and credits >= 42 and pooled >= 150000),
                    ('LARGE-OUT', goes_out and large >= 850000),
                    ('PASS', came >= 500000 and went * 100 >= came * 80)) as judged (rule, fires)
    where fires;
end
$$;
