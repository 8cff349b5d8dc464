#!lua flags=allow-oom
-- Gives up what a session has and waits for.
--
-- KEYS     sessions, places, locks, labels (see sessions.lua)
-- ARGV     the session; the names of the locks, escaped; without any, everything
-- result   0
--
-- A session that is left with nothing ends.
-- include: sessions.lua

local session = ARGV[1]
if #ARGV == 1 then
    forget(session)
else
    local given_up = {}
    for at = 2, #ARGV do
        given_up[ARGV[at]] = true
        local entry = redis.call('ZRANGE', KEYS[3], '[' .. ARGV[at] .. HELD, '(' .. ARGV[at] .. WAITING, 'BYLEX',
            'LIMIT', 0, 1)[1]
        if entry and string.sub(entry, -16) == session then
            take_away(entry)
        end
    end
    for _, place in ipairs(places_of(session, WAITING, BEYOND, -1)) do
        local name = string.sub(place, 26)
        if given_up[name] then
            take_away(name .. string.sub(place, 17, 25) .. session)
        end
    end
    if #places_of(session, HELD, BEYOND, 1) == 0 then
        forget(session)
    end
end
sweep()
return 0
