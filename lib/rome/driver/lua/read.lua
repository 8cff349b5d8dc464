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
--                  how many texts follow, and they: a row for which nothing is found that has one of them in it is
--                      left out of the later follows of the scan (0: none is)
--          of each range to count '[' .. start, '(' .. stop
-- result   a number if an expectation does not hold (see expect.lua), else
--          {commit counter, {stored value or nil of each get}}, then, if there are any, what the scans found, and what
--          the follows found: {counts, keys, stored values, rows} of all of them, one after another: `counts` says how
--          many keys the first scan found, the second, …, and how many belong to the first row that the first follow
--          follows, the second, …; `rows` are the stored values (or nil) that the values found name, where they were
--          asked for. A stored value begins with the cell's version in 8 bytes. Last, if any range is to be counted,
--          {the number of cells in each range}
-- include: expect.lua

local changed, place = expectations_at(1)
if changed then
    return changed
end

local function append(list, more)
    local last = #list
    for at = 1, #more do
        list[last + at] = more[at]
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

-- Adds to `found` the keys from start to stop, `left` of them at most (-1: all); how many they are.
local function add_keys(found, start, stop, left, reverse)
    local before = #found
    while left ~= 0 do
        local some = (left < 0 or left > MOST_AT_ONCE) and MOST_AT_ONCE or left
        local keys
        if reverse then
            keys = redis.call('ZRANGE', KEYS[2], stop, start, 'BYLEX', 'REV', 'LIMIT', 0, some)
        else
            keys = redis.call('ZRANGE', KEYS[2], start, stop, 'BYLEX', 'LIMIT', 0, some)
        end
        append(found, keys)
        if #keys < some then
            break
        end
        left = left - #keys
        local bound = '(' .. keys[#keys]
        if reverse then
            stop = bound
        else
            start = bound
        end
    end
    return #found - before
end

-- The stored values of `keys`, those that they name where `dereferences` says so of a range, and these names. The first
-- range has the first of `counts` of the keys, and so on.
local function looked_up(counts, keys, dereferences)
    local values, names, at, name = stored_at(keys, 1, #keys), {}, 0, 0
    for range = 1, #counts do
        if dereferences[range] then
            for each = at + 1, at + counts[range] do
                name = name + 1
                names[name] = string.sub(values[each] or '', 9)
            end
        end
        at = at + counts[range]
    end
    return values, stored_at(names, 1, name), names
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

local gets = tonumber(ARGV[place])
local answer = {counter, stored_at(ARGV, place + 1, place + gets)}
place = place + gets + 1
local scans = tonumber(ARGV[place])
local at = place + 1

-- The answer, with how many cells lie in each of the ranges that are left of ARGV.
local function counted()
    local numbers = {}
    for range = at, #ARGV, 2 do
        numbers[#numbers + 1] = redis.call('ZLEXCOUNT', KEYS[2], ARGV[range], ARGV[range + 1])
    end
    if #numbers > 0 then
        answer[#answer + 1] = numbers
    end
    return answer
end

if scans == 0 then
    return counted()
end
local counts, keys, dereferences, follows = {}, {}, {}, {}
for scan = 1, scans do
    local start = ARGV[at]
    local reverse = string.byte(start) == 45
    if reverse then
        start = string.sub(start, 2)
    end
    counts[scan] = add_keys(keys, start, ARGV[at + 1], tonumber(ARGV[at + 2]), reverse)
    dereferences[scan] = ARGV[at + 3] == '1'
    local follow = tonumber(ARGV[at + 4])
    at = at + 5
    for _ = 1, follow do
        local sifting = at + 5 + tonumber(ARGV[at + 4])
        follows[#follows + 1] = {scan, at, sifting}
        at = sifting + 1 + tonumber(ARGV[sifting])
    end
end
local values, rows, names = looked_up(counts, keys, dereferences)
answer[3] = {counts, keys, values, rows}
if #follows == 0 then
    return counted()
end

-- Of each scan the place before its first key, and before the first row that its values name.
local first_key, first_name, key, name = {}, {}, 0, 0
for scan = 1, scans do
    first_key[scan], first_name[scan] = key, name
    key = key + counts[scan]
    name = name + (dereferences[scan] and counts[scan] or 0)
end
local belonging, found, their_values, their_rows = {}, {}, {}, {}
local kept = {} -- of each scan the rows that a follow has left to later ones, by their places; nil: all of them
for _, follow in ipairs(follows) do
    local scan, at, sifting = follow[1], follow[2], follow[3]
    local cut, prefix, dereference = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2] == '1'
    local most = tonumber(ARGV[at + 3])
    local row_keys, stored, first = keys, values, first_key[scan]
    if dereferences[scan] then
        row_keys, stored, first = names, rows, first_name[scan]
    end
    local places, sizes, entries, named, followed = {}, {}, {}, {}, 0
    for row = first + 1, first + counts[scan] do
        if followed == most then
            break
        end
        if (not kept[scan] or kept[scan][row]) and holds(stored[row], at + 5, sifting - 1) then
            local start = prefix .. string.sub(row_keys[row], cut + 1)
            followed = followed + 1
            places[followed] = row
            sizes[followed] = add_keys(entries, '[' .. start, '(' .. after(start), -1, false)
            named[followed] = dereference
        end
    end
    local own_values, own_rows = looked_up(sizes, entries, named)
    if tonumber(ARGV[sifting]) > 0 then
        kept[scan] = {}
        local own, cell = dereference and own_rows or own_values, 0
        for each = 1, followed do
            for _ = 1, sizes[each] do
                cell = cell + 1
                if holds(own[cell], sifting + 1, sifting + tonumber(ARGV[sifting])) then
                    kept[scan][places[each]] = true
                end
            end
        end
    end
    append(belonging, sizes)
    append(found, entries)
    append(their_values, own_values)
    append(their_rows, own_rows)
end
answer[4] = {belonging, found, their_values, their_rows}
return counted()
