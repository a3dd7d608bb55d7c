package rpc

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// served calls f for each method of every service of ours that this program knows.
func served(f func(method string)) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "countersign.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				f("/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name()))
			}
		}
		return true
	})
}

func TestEveryMethodHasARow(t *testing.T) {
	known := map[string]bool{}
	served(func(method string) {
		known[method] = true
		row, ok := table[method]
		if !ok {
			t.Errorf("%s has no row", method)
		}
		if row.stranger && method != pb.DirectoryService_Enrol_FullMethodName {
			t.Errorf("%s is open to strangers", method)
		}
	})
	if len(known) < 40 {
		t.Errorf("only %d methods were found", len(known))
	}
	for method := range table {
		if strings.HasPrefix(method, "/countersign.") && !known[method] {
			t.Errorf("the row %s is of no method", method)
		}
	}
}

func TestTheOperatorHasNoRightToContent(t *testing.T) {
	served(func(method string) {
		switch {
		case strings.HasPrefix(method, "/countersign.v1.DirectoryService/"),
			strings.HasPrefix(method, "/countersign.v1.CustodyService/"), // names, sizes and dates, not what files hold
			method == pb.AttestationService_GetTrustedRoot_FullMethodName,
			method == pb.AttestationService_GetCheckpoint_FullMethodName:
		default:
			if authorize(method, Identity{Kind: catalog.Operator}, true) == nil {
				t.Errorf("the operator may call %s", method)
			}
		}
	})
}

func TestUnknownMethodsAreDenied(t *testing.T) {
	for _, kind := range []catalog.Kind{catalog.Vendor, catalog.Evaluator, catalog.Auditor, catalog.Agency, catalog.Operator, ""} {
		if authorize("/countersign.v1.DirectoryService/Nothing", Identity{Kind: kind}, true) == nil {
			t.Errorf("%q may call a method without a row", kind)
		}
	}
}
