package evaluation

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

const (
	watchPoll = time.Second
	watchPage = 100
)

// GetReport returns one report, while a grant on its product lives.
func (s *Server) GetReport(ctx context.Context, r *pb.GetReportRequest) (*pb.GetReportResponse, error) {
	lab, seq, err := numbered(ctx, r.GetName(), resource.Reports)
	if err != nil {
		return nil, err
	}
	var row *catalog.Report
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		row, err = tx.Report(lab, seq)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.gate.Check(ctx, lab, row.Release.Product); err != nil {
		return nil, err
	}
	m, err := reportMessage(row)
	if err != nil {
		return nil, err
	}
	return &pb.GetReportResponse{Report: m}, nil
}

// ListReports lists the lab's reports, oldest first. Those on products without a live grant are left out, so that a page
// may be shorter than asked for.
func (s *Server) ListReports(ctx context.Context, r *pb.ListReportsRequest) (*pb.ListReportsResponse, error) {
	lab, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	limit, after, err := numberedPage(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	f := catalog.ReportFilter{Evaluator: lab, ShowSuperseded: r.GetShowSuperseded(), AfterSeq: after, Limit: limit + 1}
	if r.GetRelease() != "" {
		if f.Release, _, err = s.seen(ctx, "release", r.GetRelease()); err != nil {
			return nil, err
		}
	}
	list, err := s.reports(ctx, f)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Cut(list, limit, func(r catalog.Report) string { return strconv.FormatInt(r.Seq, 10) })
	messages, err := s.granted(ctx, lab, page)
	if err != nil {
		return nil, err
	}
	return &pb.ListReportsResponse{Reports: messages, NextPageToken: next}, nil
}

func (s *Server) reports(ctx context.Context, f catalog.ReportFilter) (list []catalog.Report, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		list, err = tx.Reports(f)
		return err
	})
	return list, err
}

// granted writes those reports that the lab may see now.
func (s *Server) granted(ctx context.Context, lab resource.Organization, rows []catalog.Report) ([]*pb.Report, error) {
	live := map[resource.Product]bool{}
	var list []*pb.Report
	for i := range rows {
		product := rows[i].Release.Product
		ok, known := live[product]
		if !known {
			_, err := s.gate.Check(ctx, lab, product)
			if err != nil && !fault.Is(err, fault.Denied) {
				return nil, err
			}
			ok = err == nil
			live[product] = ok
		}
		if !ok {
			continue
		}
		m, err := reportMessage(&rows[i])
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// WatchReports streams the lab's reports in order: those after a number, then new ones as they are made. What a lab may
// not see when its turn comes is left out.
func (s *Server) WatchReports(r *pb.WatchReportsRequest, stream pb.EvaluationService_WatchReportsServer) error {
	ctx := stream.Context()
	lab, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return err
	}
	for after := r.GetAfterSequence(); ; {
		changed := s.Hub.Wait(pipeline.TopicReports(lab))
		rows, err := s.reports(ctx, catalog.ReportFilter{Evaluator: lab, ShowSuperseded: true, AfterSeq: after, Limit: watchPage})
		if err != nil {
			return err
		}
		for i := range rows {
			if err := s.sendReport(stream, lab, rows[i:i+1]); err != nil {
				return err
			}
			after = rows[i].Seq
		}
		if len(rows) == watchPage {
			continue
		}
		select {
		case <-changed:
		case <-time.After(watchPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendReport sends one report if the lab may see it at this moment: a slow reader does not outlive its grant.
func (s *Server) sendReport(stream pb.EvaluationService_WatchReportsServer, lab resource.Organization, one []catalog.Report) error {
	messages, err := s.granted(stream.Context(), lab, one)
	if err != nil || len(messages) == 0 {
		return err
	}
	return stream.Send(&pb.WatchReportsResponse{Report: messages[0]})
}

func decision(word string) pb.Decision { return pb.Decision(pb.Decision_value["DECISION_"+word]) }

func reportMessage(r *catalog.Report) (*pb.Report, error) {
	var rules []pipeline.Rule
	if err := json.Unmarshal(r.Rules, &rules); err != nil {
		return nil, fmt.Errorf("stored report %d of %s: %w", r.Seq, r.Evaluator, err)
	}
	return &pb.Report{
		Name:         resource.Child{Organization: r.Evaluator, Collection: resource.Reports, ID: strconv.FormatInt(r.Seq, 10)}.String(),
		Sequence:     r.Seq,
		Release:      r.Release.String(),
		Policy:       pipeline.PolicyName(&catalog.Policy{Organization: r.Evaluator, Version: r.PolicyVersion}),
		PolicyDigest: r.PolicyDigest.String(),
		Decision:     decision(r.Decision),
		Rules:        ruleMessages(rules),
		Attestation:  resource.Attestation{ID: r.AttestationID}.String(),
		CreateTime:   rpc.Timestamp(r.Created),
		Superseded:   r.Superseded,
	}, nil
}

func ruleMessages(rules []pipeline.Rule) []*pb.RuleResult {
	list := make([]*pb.RuleResult, len(rules))
	for i, r := range rules {
		list[i] = &pb.RuleResult{Rule: r.Rule, Decision: decision(r.Decision), Reason: r.Reason, Evidence: r.Evidence}
	}
	return list
}
