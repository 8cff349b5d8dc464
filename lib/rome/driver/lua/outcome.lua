#!lua flags=allow-oom
-- What became of a marked commit; if it was not applied, it is fenced off and never will be.
--
-- KEYS     mark
-- ARGV     for how many milliseconds a mark of an applied commit is remembered, and a fence
-- result   the commit counter of the commit, 0 if it was not applied
--
-- It always writes, so that a WAIT after it waits for the commit, too.
local applied = redis.call('GET', KEYS[1])
if applied and applied ~= '0' then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return tonumber(applied)
end
redis.call('SET', KEYS[1], '0', 'PX', ARGV[2])
return 0
