#!lua flags=allow-oom
-- Removes every cell and counter whose key begins with a prefix.
--
-- KEYS     cells, order, commits, counters
-- ARGV     the prefix; '[' .. prefix and what is above all that begins with it: '(' .. the next prefix, or '+'
-- result   the new commit counter
local MOST_AT_ONCE = 1000

-- What a script has written stays when it fails later, so no right may be found missing halfway.
if not (redis.acl_check_cmd('UNLINK', KEYS[1]) and redis.acl_check_cmd('HDEL', KEYS[1], '')
        and redis.acl_check_cmd('ZREM', KEYS[2], '') and redis.acl_check_cmd('HKEYS', KEYS[4])) then
    return redis.error_reply('NOPERM clearing needs UNLINK, HDEL, ZREM and HKEYS')
end

local clock = redis.call('TIME')
local counter = tonumber(redis.call('GET', KEYS[3]) or '0')
local version = math.max(counter + 1, tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
redis.call('SET', KEYS[3], string.format('%.0f', version))

local prefix = ARGV[1]
if prefix == '' then
    redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[4])
    return version
end
repeat
    local keys = redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, MOST_AT_ONCE)
    if #keys > 0 then
        redis.call('HDEL', KEYS[1], unpack(keys))
        redis.call('ZREM', KEYS[2], unpack(keys))
    end
until #keys < MOST_AT_ONCE
for _, key in ipairs(redis.call('HKEYS', KEYS[4])) do
    if string.sub(key, 1, #prefix) == prefix then
        redis.call('HDEL', KEYS[4], key)
    end
end
return version
