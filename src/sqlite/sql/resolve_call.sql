-- Removes a call whose outcome is known. ?1 client, ?2 key, ?3 holder.
DELETE FROM annals_client_keys WHERE client = ?1 AND idempotency_key = ?2 AND holder = ?3
