-- Lets go of a call whose outcome is not known. $1 client, $2 key, $3 holder.
UPDATE annals_client_keys SET holder = NULL, lease_expires_at = NULL
WHERE client = $1 AND idempotency_key = $2 AND holder = $3
