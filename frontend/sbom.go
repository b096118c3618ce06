package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/covify/covify/plan"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/result"
)

const (
	sbomOpt       = "attest:sbom"
	predicateSPDX = "https://spdx.dev/Document" // in-toto's name of the predicate
)

// scansMore tells whether the build has its context or some of its stages scanned too, which only the inner build can do
// (https://docs.docker.com/build/metadata/attestations/sbom).
func (b *build) scansMore() bool {
	const scan = "BUILDKIT_SBOM_SCAN_"
	for key := range b.opts {
		if strings.HasPrefix(key, "build-arg:"+scan) {
			return true
		}
	}
	return bytes.Contains(b.file, []byte(scan))
}

// addSBOM attests what covify added to a platform's image, where the inner build has made the SBOM before there was a variant.
func (b *build) addSBOM(ctx context.Context, res *client.Result, platform string, p *plan.Plan) error {
	if _, wanted := b.opts[sbomOpt]; !wanted || !b.scansMore() {
		return nil
	}
	const name = "sbom-covify.spdx.json"
	document, err := json.Marshal(spdxOf(p))
	if err != nil {
		return err
	}
	state := llb.Scratch().File(llb.Mkfile("/"+name, 0o644, document), llb.WithCustomName("[covify] SBOM of what was added"))
	ref, err := b.solve(ctx, state)
	if err != nil {
		return fmt.Errorf("attesting coverage: %w", err)
	}
	res.AddAttestation(platform, client.Attestation{
		Kind:   gatewaypb.AttestationKind_InToto,
		Ref:    ref,
		Path:   "/" + name,
		InToto: result.InTotoAttestation{PredicateType: predicateSPDX},
		Metadata: map[string][]byte{
			result.AttestationReasonKey: []byte(result.AttestationReasonSBOM),
		},
	})
	return nil
}

// spdxOf lists the coverage versions of a Plan as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3).
func spdxOf(p *plan.Plan) map[string]any {
	var packages []map[string]any
	for _, version := range added(p) {
		packages = append(packages, map[string]any{
			"SPDXID": "SPDXRef-Package-coverage-" + version, "name": "coverage", "versionInfo": version,
			"downloadLocation": "NOASSERTION", "licenseDeclared": "Apache-2.0", "filesAnalyzed": false,
			"externalRefs": []map[string]string{{
				"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:pypi/coverage@" + version,
			}},
		})
	}
	return map[string]any{
		"SPDXID": "SPDXRef-DOCUMENT", "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "name": "covify",
		"documentNamespace": "https://github.com/covify/covify/spdx/" + strings.Join(p.Versions(), "-"),
		"creationInfo":      map[string]any{"created": plan.Epoch.Format("2006-01-02T15:04:05Z"), "creators": []string{"Tool: covify-" + p.Labels[plan.LabelVersion]}},
		"packages":          packages,
	}
}

// added are the coverage versions of the payloads, sorted and distinct.
func added(p *plan.Plan) []string {
	var versions []string
	for _, i := range p.Installs {
		versions = append(versions, i.Version)
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}
