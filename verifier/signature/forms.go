package signature

import (
	"mime"

	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/minisign"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
	"github.com/countersign-escrow/countersign/verifier/signature/rawkey"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

// reader is who reads signature files of a form.
type reader int

const (
	byBundle reader = iota
	byOpenPGP
	bySSH
	byMinisign
	byCMS
	byKey
)

// form is one form of signature files.
type form struct {
	mediaType string
	reader    reader
	is        func(content []byte) bool // told by the content
	carries   bool                      // always carries what it is over
}

// forms are all forms of signature files, the plainest last: almost anything may be a bare signature.
var forms = []form{
	{sigstorebundle.MediaType, byBundle, bundleOf(sigstorebundle.MediaType), false},
	{sigstorebundle.MediaTypeV01, byBundle, bundleOf(sigstorebundle.MediaTypeV01), false},
	{sigstorebundle.MediaTypeV02, byBundle, bundleOf(sigstorebundle.MediaTypeV02), false},
	{sigstorebundle.MediaTypeV03, byBundle, bundleOf(sigstorebundle.MediaTypeV03), false},
	{openpgp.MediaTypeClearsigned, byOpenPGP, openpgp.DetectClearsigned, true},
	{openpgp.MediaTypeSignature, byOpenPGP, openpgp.DetectSignature, false},
	{sshsig.MediaType, bySSH, sshsig.Detect, false},
	{minisign.MediaType, byMinisign, minisign.Detect, false},
	{minisign.MediaTypeSignify, byMinisign, minisign.DetectSignify, false},
	{cms.MediaType, byCMS, cms.Detect, false},
	{rawkey.MediaType, byKey, rawkey.Detect, false},
}

func bundleOf(mediaType string) func([]byte) bool {
	return func(content []byte) bool { return sigstorebundle.MediaTypeOf(content) == mediaType }
}

// canonical writes a media type in the one way that mime.FormatMediaType does; "" for what is none.
func canonical(mediaType string) string {
	name, parameters, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return ""
	}
	return mime.FormatMediaType(name, parameters)
}

// Detect tells a signature file's media type by its content; "" if it is no signature file.
func Detect(content []byte) string {
	for _, f := range forms {
		if f.is(content) {
			return f.mediaType
		}
	}
	return ""
}
