-- Part of lock.lua, unlock.lua, renew.lua and locks.lua: which sessions live, and what each has and waits for.
--
-- KEYS     sessions, and where a script asks for more than who lives: places, locks, labels
--
-- A lock's name comes escaped, so that it ends where its first zero byte is. It is followed by '0' and a token of 8
-- bytes if a session has the lock, or by '1' and 8 bytes that grow with each arrival if one waits for it:
--     locks    name, that, session     so a lock's holder comes first and then its queue, by arrival
--     places   session, that, name     so what a session has and waits for lies together
-- A session is 16 bytes; its score in `sessions` is when it ends, in microseconds of the server's clock. From then on
-- nothing that it has counts, whether or not someone has come by to clear it away.
local HELD, WAITING, BEYOND = '0', '1', '2'
local MOST_AT_ONCE = 1000

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ends = {}

local function left_of(session)
    if not ends[session] then
        ends[session] = tonumber(redis.call('ZSCORE', KEYS[1], session) or '0')
    end
    return ends[session] - now
end

-- The parts of a member of `locks`: name; '0' or '1' and the number; session.
local function parts(entry)
    return string.sub(entry, 1, -26), string.sub(entry, -25, -17), string.sub(entry, -16)
end

local function is_held(entry)
    return string.sub(entry, -25, -25) == HELD
end

-- Where a session stands, at most `most` places: those from `kind` on that come before `above`.
local function places_of(session, kind, above, most)
    return redis.call('ZRANGE', KEYS[2], '[' .. session .. kind, '(' .. session .. above, 'BYLEX', 'LIMIT', 0, most)
end

local function take_away(entry)
    local name, standing, session = parts(entry)
    redis.call('ZREM', KEYS[3], entry)
    redis.call('ZREM', KEYS[2], session .. standing .. name)
end

-- Gives up at most `most` places of a session, from `kind` on; whether none is left.
local function give_up(session, kind, most)
    local places = places_of(session, kind, BEYOND, most)
    if #places > 0 then
        local entries = {}
        for at, place in ipairs(places) do
            entries[at] = string.sub(place, 26) .. string.sub(place, 17, 25) .. session
        end
        redis.call('ZREM', KEYS[3], unpack(entries))
        redis.call('ZREM', KEYS[2], unpack(places))
    end
    return #places < most
end

local function give_up_all(session, kind)
    while not give_up(session, kind, MOST_AT_ONCE) do
    end
end

-- Ends a session.
local function forget(session)
    give_up_all(session, HELD)
    redis.call('ZREM', KEYS[1], session)
    redis.call('HDEL', KEYS[4], session)
end

-- Clears away some of what dead sessions have left, so that none of it stays for ever and no call takes long.
local function sweep()
    local dead = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 10)
    for _, session in ipairs(dead) do
        if not give_up(session, HELD, 100) then
            return
        end
        forget(session)
    end
end
