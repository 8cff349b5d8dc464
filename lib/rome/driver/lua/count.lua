#!lua flags=no-writes
-- How many cells lie in each of some ranges.
--
-- KEYS     order
-- ARGV     of each range '[' .. start, '(' .. stop
-- result   {count of each range}
local counts = {}
for at = 1, #ARGV, 2 do
    counts[#counts + 1] = redis.call('ZLEXCOUNT', KEYS[1], ARGV[at], ARGV[at + 1])
end
return counts
