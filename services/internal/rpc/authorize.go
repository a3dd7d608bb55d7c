package rpc

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// access says who may call a method at all. Which resources a caller may touch is for the method itself to decide.
type access struct {
	stranger bool           // without a certificate, too
	kinds    []catalog.Kind // members of these organizations
}

func only(kinds ...catalog.Kind) access { return access{kinds: kinds} }

var (
	stranger = access{stranger: true}
	vendor   = only(catalog.Vendor)
	lab      = only(catalog.Evaluator)
	operator = only(catalog.Operator)
	owners   = only(catalog.Vendor, catalog.Operator)                   // a vendor for its own releases
	readers  = only(catalog.Vendor, catalog.Evaluator, catalog.Auditor) // the operator has no right to content
	member   = only(catalog.Vendor, catalog.Evaluator, catalog.Auditor, catalog.Agency, catalog.Operator)
)

// table has a row for each method that is served. A method without a row is denied to everybody.
var table = map[string]access{
	pb.DirectoryService_CreateOrganization_FullMethodName:   operator,
	pb.DirectoryService_GetOrganization_FullMethodName:      member,
	pb.DirectoryService_ListOrganizations_FullMethodName:    operator,
	pb.DirectoryService_CreateEnrolmentToken_FullMethodName: member, // the operator for all, others for their own
	pb.DirectoryService_Enrol_FullMethodName:                stranger,
	pb.DirectoryService_ListMembers_FullMethodName:          member, // as CreateEnrolmentToken
	pb.DirectoryService_RevokeMember_FullMethodName:         member, // as CreateEnrolmentToken
	pb.DirectoryService_AddTrustAnchor_FullMethodName:       member,
	pb.DirectoryService_ListTrustAnchors_FullMethodName:     member,
	pb.DirectoryService_RevokeTrustAnchor_FullMethodName:    member,

	pb.DepositService_CreateProduct_FullMethodName:     vendor,
	pb.DepositService_ListProducts_FullMethodName:      vendor,
	pb.DepositService_CreateRelease_FullMethodName:     vendor,
	pb.DepositService_GetRelease_FullMethodName:        vendor,
	pb.DepositService_ListReleases_FullMethodName:      vendor,
	pb.DepositService_CreateEnvironment_FullMethodName: vendor,
	pb.DepositService_GetEnvironment_FullMethodName:    vendor,
	pb.DepositService_ListEnvironments_FullMethodName:  vendor,
	pb.DepositService_FindMissingBlobs_FullMethodName:  vendor,
	pb.DepositService_Write_FullMethodName:             vendor,
	pb.DepositService_QueryWriteStatus_FullMethodName:  vendor,
	pb.DepositService_SealRelease_FullMethodName:       vendor,
	pb.DepositService_WatchRelease_FullMethodName:      vendor,
	pb.DepositService_ListAccessRecords_FullMethodName: vendor,

	pb.EvaluationService_SetPolicy_FullMethodName:        lab,
	pb.EvaluationService_TestPolicy_FullMethodName:       lab,
	pb.EvaluationService_GetPolicy_FullMethodName:        lab,
	pb.EvaluationService_ListPolicies_FullMethodName:     lab,
	pb.EvaluationService_GetReport_FullMethodName:        lab,
	pb.EvaluationService_ListReports_FullMethodName:      lab,
	pb.EvaluationService_WatchReports_FullMethodName:     lab,
	pb.EvaluationService_ListFindings_FullMethodName:     readers,
	pb.EvaluationService_GetSealedRelease_FullMethodName: only(catalog.Vendor, catalog.Evaluator),
	pb.EvaluationService_ReadBlob_FullMethodName:         only(catalog.Vendor, catalog.Evaluator),
	pb.EvaluationService_LookupArtifact_FullMethodName:   readers,

	pb.RebuildService_LeaseRebuild_FullMethodName:     lab,
	pb.RebuildService_HeartbeatRebuild_FullMethodName: lab,
	pb.RebuildService_CompleteRebuild_FullMethodName:  lab,
	pb.RebuildService_ListRebuilds_FullMethodName:     lab,

	pb.GrantService_CreateGrant_FullMethodName: vendor,
	pb.GrantService_GetGrant_FullMethodName:    readers,
	pb.GrantService_ListGrants_FullMethodName:  readers,
	pb.GrantService_RevokeGrant_FullMethodName: vendor,

	pb.AttestationService_GetAttestation_FullMethodName:   readers,
	pb.AttestationService_ListAttestations_FullMethodName: readers,
	pb.AttestationService_GetTrustedRoot_FullMethodName:   member,
	pb.AttestationService_GetCheckpoint_FullMethodName:    member,

	pb.CustodyService_GetRetention_FullMethodName:     owners,
	pb.CustodyService_ListRetentions_FullMethodName:   owners,
	pb.CustodyService_ExtendRetention_FullMethodName:  owners,
	pb.CustodyService_PlaceHold_FullMethodName:        operator,
	pb.CustodyService_LiftHold_FullMethodName:         operator,
	pb.CustodyService_ListHolds_FullMethodName:        owners,
	pb.CustodyService_StartScrub_FullMethodName:       operator,
	pb.CustodyService_GetScrub_FullMethodName:         operator,
	pb.CustodyService_ListScrubs_FullMethodName:       operator,
	pb.CustodyService_ListScrubDamages_FullMethodName: operator,
	pb.CustodyService_CancelScrub_FullMethodName:      operator,

	grpc_health_v1.Health_Check_FullMethodName: stranger,
	grpc_health_v1.Health_Watch_FullMethodName: stranger,
	grpc_health_v1.Health_List_FullMethodName:  stranger,

	grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      member,
	grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: member,
}

// authorize says whether the caller, or a stranger where known is false, may call the method.
func authorize(method string, id Identity, known bool) error {
	row, ok := table[method]
	switch {
	case ok && row.stranger:
		return nil
	case !known:
		return unauthenticated("CERTIFICATE_REQUIRED", "this call needs a client certificate",
			"enrol with `escrowctl enrol` and use the profile that it makes")
	case ok && slices.Contains(row.kinds, id.Kind):
		return nil
	}
	return fault.Deniedf("KIND_NOT_ALLOWED", "%s may not call %s", id.Organization, method)
}

// unauthenticated is the answer to a caller who is not known.
func unauthenticated(reason, message, advice string) error {
	f := &fault.Error{Kind: fault.Denied, Reason: reason, Message: message, Advice: advice}
	return rpcfault.Detailed(codes.Unauthenticated, f).Err()
}
