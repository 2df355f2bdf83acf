-- A message of a bank's own format may hold many payments: each has its own place and its own rejection.

alter table muster.hit        add column item int not null default 0;
alter table muster.shadow_hit add column item int not null default 0;
alter table muster.rejection  add column item int not null default 0;
alter table muster.rejection  drop constraint rejection_pkey;
alter table muster.rejection  add primary key (topic, partition, kafka_offset, item);
