package pipeline

import "github.com/countersign-escrow/countersign/escrow/resource"

// The topics that the hub is notified on.

// TopicAttestation is notified when an attestation was put into the log.
func TopicAttestation(id string) string { return "attestation/" + id }

// TopicRelease is notified when something happened to a release.
func TopicRelease(r resource.Release) string { return "release/" + r.String() }

// TopicReports is notified when an evaluator has a new report.
func TopicReports(evaluator resource.Organization) string { return "reports/" + evaluator.String() }
