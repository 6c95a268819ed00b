-- Stores an answer until a moment of Redis's own clock, unless it comes too late.
-- KEYS: the entry. ARGV: the entry's bytes; as of when the database said so; until when it lives; how long it may be
-- under way. All in milliseconds of Redis's clock.
-- Returns 1: stored. 0: refused.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local as_of, expires_at, under_way = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- Held up for longer than a mark of removal is kept, it cannot know whether there was one.
if now >= expires_at or now - as_of > under_way then
    return 0
end
local found = redis.call('GET', KEYS[1])
if found then
    local kind = string.sub(found, 1, 2)
    if kind == 'M1' then
        -- What was read before the removal may be what was removed.
        if as_of <= tonumber(string.sub(found, 3, 18)) then
            return 0
        end
    elseif kind == 'A1' then
        -- A fence has 16 hexadecimal digits, more than a number of Lua can hold: by halves.
        local function halves(entry)
            return tonumber(string.sub(entry, 3, 10), 16) or 0, tonumber(string.sub(entry, 11, 18), 16) or 0
        end
        local high, low = halves(found)
        local new_high, new_low = halves(ARGV[1])
        if high > new_high or (high == new_high and low > new_low) then
            return 0
        end
    elseif string.find(kind, '^[AM]%d$') then
        -- Another release's: it knows what it means.
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1
