-- Takes the right to carry a request out, or tells what stands there. $1 scope, $2 key, $3 fingerprint, $4 recipe,
-- $5 run id of a new execution, $6 lease (µs), $7 kept for (µs) after it, $8 attempts at the most, $9 keys of a principal at
-- the most, $10 request, $11 its body, $12 now, if it is not the server's, $13 principal.
-- One row: 'mine', 'found', 'full', or 'moved' where somebody was faster; none where that was committed meanwhile.
-- What is found and cannot be taken is not locked: a replay writes nothing. A principal and its endpoints lie before whatever
-- goes on with a space or more: a control character stands between them, and no principal has one. IS TRUE keeps the count off
-- the index by time.
-- Differs because SQLite has one writer: there a fence is drawn and the row looked at by statements of their own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($12::timestamptz, clock_timestamp()) AS now
), found AS MATERIALIZED (
    SELECT response.*, clock.now,
           coalesce(response.lease_expires_at <= clock.now, true)
           AND (response.expires_at <= clock.now
                OR (response.state = 'running' AND response.fingerprint = $3 AND response.recipe = $4
                    AND response.attempts < $8::integer)) AS is_free
    FROM clock, annals_responses AS response
    WHERE response.scope = $1 AND response.idempotency_key = $2
), room AS MATERIALIZED (
    SELECT CASE
        WHEN $9::integer IS NULL THEN true
        WHEN EXISTS (SELECT FROM found) THEN true
        ELSE NOT EXISTS (SELECT FROM annals_responses
                         WHERE scope >= $13::text AND scope < $13::text || ' ' AND (expires_at > (SELECT now FROM clock)) IS TRUE
                         LIMIT 1 OFFSET $9::integer - 1)
    END AS is_there
), claimed AS (
    INSERT INTO annals_responses AS response (
        scope, idempotency_key, fingerprint, recipe, state, fence, run_id, attempts, lease_expires_at, created_at,
        expires_at, request, request_body
    )
    SELECT $1, $2, $3, $4, 'running', nextval('annals_fences'), $5::uuid, 1,
           clock.now + $6::bigint * interval '1 microsecond', clock.now,
           clock.now + ($6::bigint + $7::bigint) * interval '1 microsecond', $10::json, $11::bytea
    FROM clock
    WHERE (SELECT is_there FROM room) AND NOT EXISTS (SELECT FROM found WHERE NOT is_free)
    ON CONFLICT (scope, idempotency_key) DO UPDATE SET
        fingerprint = excluded.fingerprint,
        recipe = excluded.recipe,
        state = 'running',
        fence = excluded.fence,
        run_id = CASE WHEN response.expires_at <= excluded.created_at THEN excluded.run_id ELSE response.run_id END,
        attempts = CASE WHEN response.expires_at <= excluded.created_at THEN 1 ELSE response.attempts + 1 END,
        lease_expires_at = excluded.lease_expires_at,
        created_at = CASE WHEN response.expires_at <= excluded.created_at THEN excluded.created_at ELSE response.created_at END,
        completed_at = NULL,
        expires_at = excluded.expires_at,
        status = NULL,
        headers = NULL,
        body_kind = NULL,
        body = NULL,
        request = CASE WHEN response.expires_at <= excluded.created_at OR excluded.request IS NOT NULL
                       THEN excluded.request ELSE response.request END,
        request_body = CASE WHEN response.expires_at <= excluded.created_at OR excluded.request IS NOT NULL
                            THEN excluded.request_body ELSE response.request_body END,
        operation = CASE WHEN response.expires_at > excluded.created_at THEN response.operation END,
        operator = CASE WHEN response.expires_at > excluded.created_at THEN response.operator END,
        operated_at = CASE WHEN response.expires_at > excluded.created_at THEN response.operated_at END
    WHERE coalesce(response.lease_expires_at <= excluded.created_at, true)
      AND (response.expires_at <= excluded.created_at
           OR (response.state = 'running' AND response.fingerprint = excluded.fingerprint
               AND response.recipe = excluded.recipe AND response.attempts < $8::integer))
    RETURNING fence, run_id, attempts
)
SELECT 'mine' AS outcome, fence, run_id, attempts, NULL::bytea AS fingerprint, NULL::smallint AS recipe,
       NULL::text AS state, NULL::bigint AS lease_left, NULL::bigint AS time_left, NULL::smallint AS status,
       NULL::text AS headers, NULL::text AS body_kind, NULL::bytea AS body
FROM claimed
UNION ALL
SELECT CASE WHEN is_free THEN 'moved' ELSE 'found' END, fence, run_id, attempts, fingerprint, recipe, state,
       (extract(epoch FROM lease_expires_at - now) * 1000000)::bigint,
       (extract(epoch FROM expires_at - now) * 1000000)::bigint, status, headers::text, body_kind, body
FROM found
WHERE NOT EXISTS (SELECT FROM claimed)
UNION ALL
SELECT 'full', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM room
WHERE NOT is_there
