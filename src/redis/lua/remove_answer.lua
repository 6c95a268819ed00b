-- Removes an answer, and marks when: what was read from the database before is not stored any more.
-- KEYS: the entry. ARGV: for how many milliseconds the mark is kept.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], string.format('M1%016d', now), 'PX', ARGV[1])
return 1
