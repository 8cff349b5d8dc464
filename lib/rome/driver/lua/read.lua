#!lua flags=no-writes
-- One wave: cells by key and scans, of one state of the store, if what was read before still holds in it.
--
-- KEYS     cells, order, commits, and if locks are expected: locks, sessions
-- ARGV     the expectations (see expect.lua), then
--          how many gets follow, and their keys
--          how many scans follow, and of each:
--              '[' .. start, '(' .. stop; with '-' before it a scan goes downwards: '-[' .. start
--              the most cells it may find (-1: all of them)
--              1 to fetch the cells that the scanned values name, else 0
--              how many follows follow, and of each:
--                  how many bytes of a row's key are left out, and what stands in their place
--                  1 to fetch the cells that the values found name, else 0
--                  how many rows are followed at most
--                  how many texts follow, and they: a row counts if its value has one of them in it (0: each row does)
-- result   a number if an expectation does not hold (see expect.lua), else
--          {commit counter, {stored value or nil of each get},
--           and of each scan {keys, stored values, rows, and of each follow {counts, keys, stored values, rows}}}
--          where `rows` are the stored values (or nil) that the scanned values name, {} if they were not asked for,
--          and `counts` says how many of the keys belong to the first row, the second, …
--          A stored value begins with the cell's version in 8 bytes.
-- include: expect.lua

local changed, place = expectations_at(1)
if changed then
    return changed
end

local function append(list, more)
    for at = 1, #more do
        list[#list + 1] = more[at]
    end
end

local function stored_at(keys, first, last)
    if last - first < MOST_AT_ONCE then
        return last < first and {} or redis.call('HMGET', KEYS[1], unpack(keys, first, last))
    end
    local found = {}
    for at = first, last, MOST_AT_ONCE do
        append(found, redis.call('HMGET', KEYS[1], unpack(keys, at, math.min(last, at + MOST_AT_ONCE - 1))))
    end
    return found
end

local function keys_between(start, stop, left, reverse)
    local found = {}
    while left ~= 0 do
        local some = (left < 0 or left > MOST_AT_ONCE) and MOST_AT_ONCE or left
        local keys
        if reverse then
            keys = redis.call('ZRANGE', KEYS[2], stop, start, 'BYLEX', 'REV', 'LIMIT', 0, some)
        else
            keys = redis.call('ZRANGE', KEYS[2], start, stop, 'BYLEX', 'LIMIT', 0, some)
        end
        if #found == 0 and (#keys < some or left == some) then
            return keys
        end
        append(found, keys)
        if #keys < some then
            return found
        end
        left = left - #keys
        local bound = '(' .. keys[#keys]
        if reverse then
            stop = bound
        else
            start = bound
        end
    end
    return found
end

-- The values without the versions before them: the keys that they name.
local function named(values)
    local names = {}
    for each = 1, #values do
        names[each] = string.sub(values[each] or '', 9)
    end
    return names
end

local function after(prefix)
    local last = #prefix
    while string.byte(prefix, last) == 255 do
        last = last - 1
    end
    return string.sub(prefix, 1, last - 1) .. string.char(string.byte(prefix, last) + 1)
end

-- Whether a stored value, which may be missing, has one of the texts first to last of ARGV behind its version.
local function holds(value, first, last)
    for each = first, last do
        if value and string.find(value, ARGV[each], 9, true) then
            return true
        end
    end
    return first > last
end

-- What belongs to the rows at `keys`, all of it in as few calls as it takes. What the follow is stands in ARGV from
-- `at` on; `rows` are the rows' stored values.
local function followed(keys, rows, at)
    local cut, prefix, dereference = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2] == '1'
    local most, last_text = tonumber(ARGV[at + 3]), at + 4 + tonumber(ARGV[at + 4])
    local counts, found = {}, {}
    for each = 1, #keys do
        if #counts == most then
            break
        end
        if holds(rows[each], at + 5, last_text) then
            local start = prefix .. string.sub(keys[each], cut + 1)
            local some = keys_between('[' .. start, '(' .. after(start), -1, false)
            counts[#counts + 1] = #some
            append(found, some)
        end
    end
    local values = stored_at(found, 1, #found)
    local names = dereference and named(values) or {}
    return {counts, found, values, stored_at(names, 1, #names)}
end

local gets = tonumber(ARGV[place])
local answer = {counter, stored_at(ARGV, place + 1, place + gets)}
place = place + gets + 1
local scans = tonumber(ARGV[place])
local at = place + 1
for _ = 1, scans do
    local start = ARGV[at]
    local reverse = string.byte(start) == 45
    if reverse then
        start = string.sub(start, 2)
    end
    local keys = keys_between(start, ARGV[at + 1], tonumber(ARGV[at + 2]), reverse)
    local values = stored_at(keys, 1, #keys)
    local dereference = ARGV[at + 3] == '1'
    local names = dereference and named(values) or {}
    local scanned = {keys, values, stored_at(names, 1, #names)}
    local follows = tonumber(ARGV[at + 4])
    at = at + 5
    for _ = 1, follows do
        scanned[#scanned + 1] = followed(dereference and names or keys, dereference and scanned[3] or values, at)
        at = at + 5 + tonumber(ARGV[at + 4])
    end
    answer[#answer + 1] = scanned
end
return answer
