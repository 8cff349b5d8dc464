#!lua
-- Raises a counter to at least a number and adds to it.
--
-- KEYS     counters
-- ARGV     the counter's key; at least so much, and what to add: decimal numbers of 64 bits, signed
-- result   the counter as a decimal number, or false if 64 bits cannot hold it and nothing was changed
--
-- Numbers stay text: Lua's own have 53 bits.
local function below(one, other)
    local negative = string.sub(one, 1, 1) == '-'
    if negative ~= (string.sub(other, 1, 1) == '-') then
        return negative
    end
    local at = 1
    while #one == #other and at < #one and string.byte(one, at) == string.byte(other, at) do
        at = at + 1
    end
    local smaller
    if #one ~= #other then
        smaller = #one < #other
    else
        smaller = string.byte(one, at) < string.byte(other, at)
    end
    if negative then
        return one ~= other and not smaller
    end
    return smaller
end

local before = redis.call('HGET', KEYS[1], ARGV[1])
if below(before or '0', ARGV[2]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local sum = redis.pcall('HINCRBY', KEYS[1], ARGV[1], ARGV[3])
if type(sum) == 'number' then
    return redis.call('HGET', KEYS[1], ARGV[1])
end
if before then
    redis.call('HSET', KEYS[1], ARGV[1], before)
else
    redis.call('HDEL', KEYS[1], ARGV[1])
end
return not string.find(sum.err, 'overflow') and sum
