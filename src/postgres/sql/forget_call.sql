-- Removes a call, whoever sends it. $1 client, $2 key.
DELETE FROM annals_client_keys WHERE client = $1 AND idempotency_key = $2
