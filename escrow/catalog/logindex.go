package catalog

// FirstFreeLogIndex returns the lowest index in the log that no attestation is recorded to have. Attestations are
// published side by side, so that it may lie below MaxLogIndex: an entry that a crash left unrecorded lies there or behind.
func (t *Tx) FirstFreeLogIndex() (int64, error) {
	n, err := queryOne(t, "log index", scanNumber, `
		SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM attestations WHERE log_index = 0) THEN 0 ELSE (
			SELECT MIN(a.log_index) + 1 FROM attestations a WHERE a.log_index IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM attestations b WHERE b.log_index = a.log_index + 1)) END`)
	if err != nil {
		return 0, err
	}
	return *n, nil
}
