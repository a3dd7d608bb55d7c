// Package releasefile reads release.yaml, the file in which a vendor says what a release is made of, and turns it into
// the manifest that is signed and deposited. It knows nothing of the service that the release goes to.
package releasefile
