#!lua flags=no-writes
-- The locks that living sessions have.
--
-- KEYS     sessions, places, locks, labels (see sessions.lua)
-- ARGV     '[' .. the first escaped name, '(' .. what is above the last, or '+'
-- result   of each lock, by name: {escaped name, session, label, token, milliseconds that the session has left, how many
--          living sessions wait for it}
-- include: sessions.lua

local found, from = {}, ARGV[1]
repeat
    local entries = redis.call('ZRANGE', KEYS[3], from, ARGV[2], 'BYLEX', 'LIMIT', 0, MOST_AT_ONCE)
    for _, entry in ipairs(entries) do
        local name, standing, session = parts(entry)
        local last = found[#found]
        local left = left_of(session)
        if left > 0 and is_held(entry) then
            local token = struct.unpack('>I8', string.sub(standing, 2))
            local label = redis.call('HGET', KEYS[4], session) or ''
            found[#found + 1] = {name, session, label, token, math.ceil(left / 1000), 0}
        elseif left > 0 and last and last[1] == name then
            last[6] = last[6] + 1
        end
    end
    from = #entries > 0 and '(' .. entries[#entries]
until #entries < MOST_AT_ONCE
return found
