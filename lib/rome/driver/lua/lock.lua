#!lua
-- Takes locks for a session, or queues it for them.
--
-- KEYS     sessions, places, locks, labels (see sessions.lua), tokens, commits
-- ARGV     the session; for how many milliseconds it lives from now on
--          by how many less it may live if nothing else is to be written
--          'wait' (take those that are free, queue for the others), 'nowait' (take all or none), 'skip' (take those
--          that are free)
--          what the session says of itself, or '' for what it said before
--          the names of the locks, each once, escaped
-- result   1 if the session would have waited for itself: it was taken out of all queues and given nothing; else
--          {commit counter, of each name {token, holder, sessions ahead}}: the token is 0 if the session does not have
--          the lock, and the holder is then who is in its way, '' if no one is (and another lock of a 'nowait' was not
--          free); among the sessions ahead there may be dead ones
--
-- A session that has and waits for nothing is none. It may be sent again: what the session has already keeps its token,
-- and what it waits for its place. Who waits asks often, and needs not write each time; but with 0 there it always writes,
-- so that a WAIT after it waits for what an earlier sending wrote, too.
--
-- A token is the server's clock in microseconds, or one more than the last one if the clock has not moved on: none is
-- given twice, even after a restart or a failover that lost some.
-- include: sessions.lua
local DEADLOCK = 1
local FIRST_NAME = 6

local session, patience, label = ARGV[1], ARGV[4], ARGV[5]
local ttl, slack = tonumber(ARGV[2]) * 1000, tonumber(ARGV[3]) * 1000
local left = left_of(session)
local drawn = nil

local function draw()
    drawn = math.max((drawn or tonumber(redis.call('GET', KEYS[5]) or '0')) + 1, now)
    redis.call('SET', KEYS[5], string.format('%.0f', drawn))
    return struct.pack('>I8', drawn)
end

local function stand(name, standing)
    redis.call('ZADD', KEYS[2], 0, session .. standing .. name)
    redis.call('ZADD', KEYS[3], 0, name .. standing .. session)
end

-- Who has a lock, else who is first in its queue, as members of `locks`; the dead before them are cleared away.
local function front(name)
    while true do
        local entry = redis.call('ZRANGE', KEYS[3], '[' .. name .. HELD, '(' .. name .. BEYOND, 'BYLEX',
            'LIMIT', 0, 1)[1]
        if not entry or left_of(string.sub(entry, -16)) > 0 then
            return entry
        end
        take_away(entry)
    end
end

-- Who comes before the one at `place` in a queue: the next living session ahead of it, or the lock's holder.
local function ahead_of(place)
    local name, standing = string.sub(place, 26), string.sub(place, 17, 25)
    local below = '(' .. name .. standing
    while true do
        local entry = redis.call('ZRANGE', KEYS[3], below, '[' .. name .. HELD, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
        if not entry then
            return nil
        end
        local other = string.sub(entry, -16)
        if left_of(other) > 0 then
            return other
        end
        below = '(' .. entry
    end
end

-- Whether the session waits, by way of others, for itself. Each waits for who is just ahead of it, and so for all.
local function waits_for_itself()
    local seen, open = {}, {session}
    while #open > 0 do
        for _, place in ipairs(places_of(table.remove(open), WAITING, BEYOND, -1)) do
            local other = ahead_of(place)
            if other == session then
                return true
            end
            if other and not seen[other] then
                seen[other] = true
                open[#open + 1] = other
            end
        end
    end
    return false
end

local function live_on()
    if #places_of(session, HELD, BEYOND, 1) == 0 then
        return forget(session)
    end
    if drawn or left > ttl or left <= ttl - slack then
        redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), session)
        if label ~= '' then
            redis.call('HSET', KEYS[4], session, label)
        end
    end
end

if left <= 0 then
    forget(session)
end
ends[session] = now + ttl

local had_places = #places_of(session, HELD, BEYOND, 1) > 0
local queued = {}
for _, place in ipairs(places_of(session, WAITING, BEYOND, -1)) do
    queued[string.sub(place, 26)] = string.sub(place, 17, 25)
end

local fronts, taken, arrived = {}, false, false
for at = FIRST_NAME, #ARGV do
    local name = ARGV[at]
    local entry = front(name)
    local mine = entry and string.sub(entry, -16) == session
    fronts[at] = entry or false
    if entry and not mine then
        taken = true
        if patience == 'wait' and not queued[name] then
            queued[name] = WAITING .. draw()
            stand(name, queued[name])
            arrived = true
        end
    end
end
-- A circle is closed by who queues last, so no one else needs to look for one; nobody waits for who had nothing.
if arrived and had_places and waits_for_itself() then
    give_up_all(session, WAITING)
    live_on()
    return DEADLOCK
end

local answer = {tonumber(redis.call('GET', KEYS[6]) or '0')}
for at = FIRST_NAME, #ARGV do
    local name, entry = ARGV[at], fronts[at]
    local mine = not entry or string.sub(entry, -16) == session
    local token, holder, ahead = 0, '', 0
    if not mine then
        holder = string.sub(entry, -16)
        ahead = redis.call('ZLEXCOUNT', KEYS[3], '[' .. name .. HELD, '(' .. name .. (queued[name] or BEYOND))
    elseif entry and is_held(entry) then
        token, holder = struct.unpack('>I8', string.sub(entry, -24, -17)), session
    elseif not (taken and patience == 'nowait') then
        if entry then
            take_away(entry)
        end
        stand(name, HELD .. draw())
        token, holder = drawn, session
    end
    answer[#answer + 1] = {token, holder, ahead}
end
live_on()
sweep()
return answer
