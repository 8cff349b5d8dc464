#!lua flags=allow-oom
-- Lets a session live on.
--
-- KEYS     sessions
-- ARGV     the session; for how many milliseconds it lives from now on
-- result   1 if it lives, 0 if its time had run out
-- include: sessions.lua

if left_of(ARGV[1]) <= 0 then
    return 0
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2]) * 1000), ARGV[1])
return 1
