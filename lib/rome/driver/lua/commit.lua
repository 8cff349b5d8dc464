#!lua
-- One commit: checks every expectation, then applies every write, or nothing.
--
-- KEYS     cells, order, commits, locks, sessions, and mark if the commit has one
-- ARGV     the expectations (see expect.lua), then
--          for how many milliseconds the mark is remembered
--          how many cells are written, and of each its key and value
--          how many cells are deleted, and of each its key
-- result   1 to 4 if nothing was written: an expected cell or range has changed, `outcome` has fenced the mark off, or an
--          expected lock is lost; else the new commit counter (of a mark applied before, the counter it had then)
--
-- The counter is the server's clock in microseconds, or one more than before if the clock has not moved on. So no
-- version is given twice, even after a restart or a failover that lost some commits.
-- include: expect.lua

local applied = KEYS[6] and redis.call('GET', KEYS[6])
if applied then
    return applied == '0' and FENCED or tonumber(applied)
end
local changed, place = expectations_at(1)
if changed then
    return changed
end

-- What a script has written stays when it fails later, so no right may be found missing halfway.
if not (redis.acl_check_cmd('HSET', KEYS[1], '', '') and redis.acl_check_cmd('ZADD', KEYS[2], '0', '')
        and redis.acl_check_cmd('HDEL', KEYS[1], '') and redis.acl_check_cmd('ZREM', KEYS[2], '')) then
    return redis.error_reply('NOPERM commits need HSET, ZADD, HDEL and ZREM')
end

local clock = redis.call('TIME')
local version = math.max(counter + 1, tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
local stamp = struct.pack('>I8', version)
local decimal = string.format('%.0f', version)
redis.call('SET', KEYS[3], decimal)
if KEYS[6] then
    redis.call('SET', KEYS[6], decimal, 'PX', ARGV[place])
end

place = place + 1
local last = place + 2 * tonumber(ARGV[place])
for from = place + 1, last, 2 * MOST_AT_ONCE do
    local fields, members = {}, {}
    for at = from, math.min(last, from + 2 * MOST_AT_ONCE - 1), 2 do
        local size = #fields
        fields[size + 1] = ARGV[at]
        fields[size + 2] = stamp .. ARGV[at + 1]
        members[size + 1] = '0'
        members[size + 2] = ARGV[at]
    end
    redis.call('HSET', KEYS[1], unpack(fields))
    redis.call('ZADD', KEYS[2], unpack(members))
end

place = last + 1
last = place + tonumber(ARGV[place])
for from = place + 1, last, MOST_AT_ONCE do
    local to = math.min(last, from + MOST_AT_ONCE - 1)
    redis.call('HDEL', KEYS[1], unpack(ARGV, from, to))
    redis.call('ZREM', KEYS[2], unpack(ARGV, from, to))
end
return version
