package deposit

import (
	"strconv"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

func accessKey(a catalog.AccessRecord) string { return strconv.FormatInt(a.Seq, 10) }

// numberedPage reads a page whose key is a sequence number; 0 at the start.
func numberedPage(r *pb.ListAccessRecordsRequest) (limit int, before int64, err error) {
	limit, key, err := rpc.Page(r.GetPageSize(), r.GetPageToken())
	if err != nil || key == "" {
		return limit, 0, err
	}
	if before, err = strconv.ParseInt(key, 10, 64); err != nil || before < 1 {
		return 0, 0, fault.Invalidf("page_token", "is not a token that this call gave")
	}
	return limit, before, nil
}

func accessMessage(a *catalog.AccessRecord) *pb.AccessRecord {
	m := &pb.AccessRecord{Sequence: a.Seq, Reader: a.Reader.String(), Member: a.Member, Resource: a.Resource, Bytes: a.Bytes, Time: rpc.Timestamp(a.Time)}
	if a.GrantID != "" {
		m.Grant = resource.Child{Organization: a.Vendor, Collection: resource.Grants, ID: a.GrantID}.String()
	}
	return m
}
