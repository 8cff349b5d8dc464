-- Part of read.lua and commit.lua: whether what a transaction has read is still so.
--
-- KEYS     cells, order, commits, and if locks are expected: locks, sessions (see sessions.lua)
--
-- `expectations_at(place)` reads from ARGV[place] on
--   locks    how many expected locks follow; of each its member of `locks`: escaped name, '0', token, session
--   cells    how many expected cells follow, their keys, and one text with the version of each in 8 bytes (zeros: no
--            cell)
--   ranges   how many expected ranges follow; of each '[' .. start, '(' .. stop, its version as a decimal number,
--            and how many cells it held
-- and returns what does not hold (CELL_CHANGED, RANGE_CHANGED, LOCK_LOST) or nil, and the place after the last one.
--
-- A range is compared by the commit counter first (nothing at all was written since), then by its count, and then
-- cell by cell by version.
local CELL_CHANGED, RANGE_CHANGED, FENCED, LOCK_LOST = 1, 2, 3, 4
local MOST_AT_ONCE = 1000
local NO_CELL = string.rep('\0', 8)

local counter = tonumber(redis.call('GET', KEYS[3]) or '0')

local function range_changed(start, stop, version, count)
    if redis.call('ZLEXCOUNT', KEYS[2], start, stop) ~= count then
        return true
    end
    while count > 0 do
        local keys = redis.call('ZRANGE', KEYS[2], start, stop, 'BYLEX', 'LIMIT', 0, MOST_AT_ONCE)
        for _, stored in ipairs(redis.call('HMGET', KEYS[1], unpack(keys))) do
            if struct.unpack('>I8', stored) > version then
                return true
            end
        end
        count = count - #keys
        start = '(' .. keys[#keys]
    end
    return false
end

local function lock_lost(entry, now)
    local ends = redis.call('ZSCORE', KEYS[4], entry) and redis.call('ZSCORE', KEYS[5], string.sub(entry, -16))
    return not ends or tonumber(ends) <= now
end

local function expectations_at(place)
    local last = place + tonumber(ARGV[place])
    if last > place then
        local clock = redis.call('TIME')
        local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
        for at = place + 1, last do
            if lock_lost(ARGV[at], now) then
                return LOCK_LOST
            end
        end
    end
    place = last + 1
    last = place + tonumber(ARGV[place])
    local versions, byte = ARGV[last + 1], 1
    for from = place + 1, last, MOST_AT_ONCE do
        local to = math.min(last, from + MOST_AT_ONCE - 1)
        for _, stored in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, from, to))) do
            if (stored and string.sub(stored, 1, 8) or NO_CELL) ~= string.sub(versions, byte, byte + 7) then
                return CELL_CHANGED
            end
            byte = byte + 8
        end
    end
    place = last + 2
    last = place + 4 * tonumber(ARGV[place])
    for at = place + 1, last, 4 do
        local version = tonumber(ARGV[at + 2])
        if version ~= counter and range_changed(ARGV[at], ARGV[at + 1], version, tonumber(ARGV[at + 3])) then
            return RANGE_CHANGED
        end
    end
    return nil, last + 1
end
