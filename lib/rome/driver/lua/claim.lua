#!lua
-- Writes down the format of a store, unless something is there already.
--
-- KEYS     format, cells, order, commits, counters
-- ARGV     the format
-- result   the format that is there now, or false if keys without a format are
if redis.call('EXISTS', KEYS[1]) == 0 then
    if redis.call('EXISTS', unpack(KEYS, 2)) > 0 then
        return false
    end
    redis.call('SET', KEYS[1], ARGV[1])
end
return redis.call('GET', KEYS[1])
