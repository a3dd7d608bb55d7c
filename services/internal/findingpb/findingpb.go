// Package findingpb writes findings as messages of the API. It knows nothing of who may see them.
package findingpb

import (
	"encoding/json"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Message writes a recorded finding.
func Message(row *catalog.Finding) (*pb.Finding, error) {
	var f finding.Finding
	if err := json.Unmarshal(row.Finding, &f); err != nil {
		return nil, fmt.Errorf("stored finding %s: %w", row.ID, err)
	}
	m := &pb.Finding{
		Name:        row.Release.String() + "/findings/" + row.ID,
		Check:       pb.Check(pb.Check_value["CHECK_"+string(f.Check)]),
		Outcome:     pb.Outcome(pb.Outcome_value["OUTCOME_"+string(f.Outcome)]),
		Verdict:     pb.Verdict(pb.Verdict_value["VERDICT_"+string(f.Verdict)]),
		Artifact:    f.Artifact,
		Rebuilder:   row.Rebuilder.String(),
		Summary:     f.Summary,
		Attestation: resource.Attestation{ID: row.AttestationID}.String(),
		CreateTime:  rpc.Timestamp(row.Created),
	}
	for _, c := range f.Causes {
		m.Causes = append(m.Causes, &pb.Cause{Type: string(c.Type), Place: c.Place, Offset: c.Offset, Length: c.Length,
			ShippedExcerpt: c.ShippedExcerpt, RebuiltExcerpt: c.RebuiltExcerpt})
	}
	m.Signatures = signatures(f.Evidence.Signatures)
	return m, nil
}
