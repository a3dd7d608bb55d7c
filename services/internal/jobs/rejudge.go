package jobs

import "time"

// Rejudge judges anew the signatures that rest on a trust anchor which is known to be compromised.
type Rejudge struct {
	Anchor string `json:"anchor"` // resource name
}

// Kind names the kind of job.
func (Rejudge) Kind() string { return "rejudge" }

// A vendor's releases may take longer than one attempt has: each that is done stays done.
func (Rejudge) settings() settings {
	return settings{queue: Checks, timeout: 30 * time.Minute, attempts: 1000, merge: true}
}
