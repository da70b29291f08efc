package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// visit does every step that needs the city to be served.
func (t *tour) visit(ctx context.Context) error {
	t.findIsolation(ctx)
	for _, s := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"ceremony held: a city with a pinned root", t.root},
		{"agency certificate accepted by its chain and its issuer's CRL", t.certificate},
		{"a firm's permit issued over the API, once for one idempotency key", t.issue},
		{"a citizen signs in at an agency's site with password and one-time code, and agrees once", t.citizen},
		{"the same citizen reaches another agency's site without a password", t.singleSignOn},
		{"trust bundle and status snapshot fetched and led back to the root", t.carry},
	} {
		if err := t.step(s.name, func() (string, error) { return s.do(ctx) }); err != nil {
			return err
		}
	}
	if err := t.verdict(ctx, "QR read from its PNG and checked with no network", 0, true, verify.Valid); err != nil {
		return err
	}
	if err := t.step("permit key rotated, and a second permit issued with the next key", func() (string, error) { return t.rotate(ctx) }); err != nil {
		return err
	}
	if err := t.step("at the licence desk one clerk applies and another approves", func() (string, error) { return t.desk(ctx) }); err != nil {
		return err
	}
	for i, name := range []string{"the first permit is still valid after the rotation", "the second permit is valid", "the desk's permit is valid"} {
		if err := t.verdict(ctx, name, i, true, verify.Valid); err != nil {
			return err
		}
	}
	if err := t.step("first permit revoked, and a new snapshot published", func() (string, error) { return t.revoke(ctx) }); err != nil {
		return err
	}
	for _, v := range []struct {
		name   string
		permit int
		status bool
		want   verify.Verdict
	}{
		{"the first permit is revoked, known with no network", 0, true, verify.Revoked},
		{"the second permit is still valid", 1, true, verify.Valid},
		{"without the snapshot nothing is claimed", 1, false, verify.Undetermined},
	} {
		if err := t.verdict(ctx, v.name, v.permit, v.status, v.want); err != nil {
			return err
		}
	}
	return nil
}

// findIsolation looks for a way to run a program without a network.
func (t *tour) findIsolation(ctx context.Context) {
	for _, flags := range []string{"-n", "-rn"} {
		if exec.CommandContext(ctx, "unshare", flags, "true").Run() == nil {
			t.isolate = []string{"unshare", flags}
			return
		}
	}
}

func (t *tour) root(context.Context) (string, error) {
	b, err := os.ReadFile(t.demo.RootPEM)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return "", errors.New("the root is no PEM")
	}
	if err := t.ledger.Write(city.ActCity, t.demo.Issuer, sha(block.Bytes)); err != nil {
		return "", err
	}
	if t.officer, err = (&apiFlags{demo: city.Where{Data: t.data}.DemoFile()}).connect(t.env, city.ScopeKeys); err != nil {
		return "", err
	}
	t.agency, err = (&apiFlags{demo: city.Where{Data: t.data}.DemoFile(), agency: tourAgency, asAgency: true}).connect(t.env, "licenses")
	return "root certificate " + sha(block.Bytes), err
}

// tourAgency is the district agency that the tour acts for.
const tourAgency = "donghu-amr"

// keyRow is a key as the officers' API shows it.
type keyRow struct {
	ID          string     `json:"id"`
	State       keys.State `json:"state"`
	Certificate []byte     `json:"certificate"`
}

// permitKey returns the agency's permit key in use.
func (t *tour) permitKey(ctx context.Context) (keyRow, error) {
	b, err := t.officer.call(ctx, request{method: http.MethodGet, path: "/security/v1/keys?purpose=permit&owner=" + tourAgency})
	if err != nil {
		return keyRow{}, err
	}
	var answer struct {
		Keys []keyRow `json:"keys"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return keyRow{}, err
	}
	for _, k := range answer.Keys {
		if k.State == keys.Active {
			return k, nil
		}
	}
	return keyRow{}, errors.New("the agency has no permit key in use")
}

// certificate checks the agency's certificate as a stranger would: up to the root
// by what it names, and against the CRL that it names.
func (t *tour) certificate(ctx context.Context) (string, error) {
	k, err := t.permitKey(ctx)
	if err != nil {
		return "", err
	}
	leaf, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return "", err
	}
	if len(leaf.IssuingCertificateURL) == 0 || len(leaf.CRLDistributionPoints) == 0 {
		return "", errors.New("the certificate does not say where its issuer and CRL are")
	}
	der, err := t.fetch(ctx, leaf.IssuingCertificateURL[0])
	if err != nil {
		return "", err
	}
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	rootPEM, err := os.ReadFile(t.demo.RootPEM)
	if err != nil {
		return "", err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM)
	between.AddCert(issuer)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return "", err
	}
	if err := t.crl(ctx, leaf, issuer); err != nil {
		return "", err
	}
	serial := fmt.Sprintf("%x", leaf.SerialNumber.Bytes())
	return "certificate " + serial + " of " + tourAgency + " by " + issuer.Subject.CommonName, t.ledger.Write(city.ActCertificate, serial, sha(leaf.Raw))
}

func (t *tour) crl(ctx context.Context, leaf, issuer *x509.Certificate) error {
	b, err := t.fetch(ctx, leaf.CRLDistributionPoints[0])
	if err != nil {
		return err
	}
	crl, err := x509.ParseRevocationList(b)
	if err != nil {
		return err
	}
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		return err
	}
	for _, r := range crl.RevokedCertificateEntries {
		if r.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			return errors.New("the certificate is revoked")
		}
	}
	return nil
}

const tourLicense = `{"type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{"trade_name":"老灶火锅","premises":"江城市东湖区湖滨路18号2幢101室",` +
	`"legal_representative":"林若川","category":"餐饮服务经营者","scope":"热食类食品制售","seats":86,"area_m2":240,"supervisor":"周予安","online":"是"},` +
	`"not_before":"","not_after":""}`

// issue issues a licence twice under one key and gets one.
func (t *tour) issue(ctx context.Context) (string, error) {
	r := request{method: http.MethodPost, path: "/licenses/v1/licenses", body: []byte(tourLicense), key: rand.Text()}
	first, err := t.agency.call(ctx, r)
	if err != nil {
		return "", err
	}
	var p permitFile
	if err := json.Unmarshal(first, &p); err != nil {
		return "", err
	}
	if p.ID == "" || p.Permit == "" {
		return "", errors.New("the answer holds no permit")
	}
	if err := t.ledger.Write(city.ActLicense, p.ID, sha([]byte(p.Permit))); err != nil {
		return "", err
	}
	again, err := t.agency.call(ctx, r)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(first, again) {
		return "", errors.New("the same request with the same key gave another licence")
	}
	picture, err := t.agency.call(ctx, request{method: http.MethodGet, path: "/licenses/v1/licenses/" + p.ID + "/qr.png"})
	if err != nil {
		return "", err
	}
	if p.png, err = t.save(fmt.Sprintf("permit-%d.png", len(t.permits)+1), picture); err != nil {
		return "", err
	}
	t.permits = append(t.permits, p)
	return fmt.Sprintf("licence %s, permit of %d characters", p.Number, len(p.Permit)), nil
}

// carry fetches what an inspector carries and checks it as a verifier does.
func (t *tour) carry(ctx context.Context) (string, error) {
	pin, err := readRoot(t.env, t.demo.RootPEM)
	if err != nil {
		return "", err
	}
	files := map[string][]byte{}
	for _, path := range []string{"/trust/root", "/trust/bundle", "/trust/head", "/status/snapshot"} {
		if files[path], err = t.fetch(ctx, t.demo.Issuer+path); err != nil {
			return "", err
		}
	}
	now := time.Now()
	statement, err := trust.OpenRoot(files["/trust/root"], pin, now)
	if err != nil {
		return "", err
	}
	b, _, err := trust.OpenBundle(files["/trust/bundle"], pin, now)
	if err != nil {
		return "", err
	}
	head, err := trust.OpenHead(files["/trust/head"], statement, now)
	if err != nil {
		return "", err
	}
	if sum := sha(files["/status/snapshot"]); sum != fmt.Sprintf("%x", head.SnapshotHash) {
		return "", errRetry
	}
	t.seq = head.SnapshotSeq
	if t.bundle, err = t.save("bundle.cbor", files["/trust/bundle"]); err != nil {
		return "", err
	}
	if t.snapshot, err = t.save("snapshot.elr1", files["/status/snapshot"]); err != nil {
		return "", err
	}
	if err := t.ledger.Write(city.ActPublish, fmt.Sprintf("snapshot:%d", t.seq), sha(files["/status/snapshot"])); err != nil {
		return "", err
	}
	return fmt.Sprintf("bundle %d of %d agencies and %d keys, snapshot %d of %d bytes", b.Seq, len(b.Agencies), len(b.Keys), t.seq, len(files["/status/snapshot"])), nil
}

// errEarlier says that a step lacks what another should have made.
var errEarlier = errors.New("an earlier step failed")

// errRetry says that the snapshot and the head were fetched while a new one was
// being published.
var errRetry = errors.New("the head names another snapshot")

// rotate puts the agency's next permit key into use over the officers' API.
func (t *tour) rotate(ctx context.Context) (string, error) {
	old, err := t.permitKey(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"purpose": "permit", "owner": tourAgency, "from": old.ID})
	if err != nil {
		return "", err
	}
	b, err := t.officer.call(ctx, request{method: http.MethodPost, path: "/security/v1/keys/rotate", body: body})
	if err != nil {
		return "", err
	}
	var next keyRow
	if err := json.Unmarshal(b, &next); err != nil {
		return "", err
	}
	if next.ID == old.ID || next.State != keys.Active {
		return "", errors.New("the key did not change")
	}
	if err := t.ledger.Write(city.ActRotate, next.ID, old.ID); err != nil {
		return "", err
	}
	issued, err := t.issue(ctx)
	if err != nil {
		return "", err
	}
	if _, err := t.carry(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("key %s took over from %s; %s", next.ID, old.ID, issued), nil
}

// revoke revokes the first licence and waits for the snapshot that says so.
func (t *tour) revoke(ctx context.Context) (string, error) {
	if len(t.permits) == 0 {
		return "", errEarlier
	}
	before := t.seq
	body := []byte(`{"reason":"卫生许可条件不再具备"}`)
	_, err := t.agency.call(ctx, request{method: http.MethodPost, path: "/licenses/v1/licenses/" + t.permits[0].ID + "/revoke", body: body, key: rand.Text()})
	if err != nil {
		return "", err
	}
	if err := t.ledger.Write(city.ActRevoke, t.permits[0].ID, ""); err != nil {
		return "", err
	}
	start := time.Now()
	for time.Since(start) < time.Minute {
		proof, err := t.carry(ctx)
		if err == nil && t.seq > before {
			return fmt.Sprintf("%s, %.1f s after the revocation", proof, time.Since(start).Seconds()), nil
		}
		if err != nil && !errors.Is(err, errRetry) {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return "", errors.New("no new snapshot within a minute")
}

// verdict checks a permit in a child process: at once in one that has no network,
// or, where that cannot be had, after the city has stopped.
func (t *tour) verdict(ctx context.Context, name string, permit int, status bool, want verify.Verdict) error {
	if permit >= len(t.permits) || t.bundle == "" {
		return t.step(name, func() (string, error) { return "", errEarlier })
	}
	args := []string{"verify", "--json", "--root", t.demo.RootPEM, "--trust", t.bundle}
	if status {
		kept, err := t.keep(t.snapshot)
		if err != nil {
			return err
		}
		args = append(args, "--status", kept)
	}
	args = append(args, t.permits[permit].png)
	check := func() error {
		return t.step(name, func() (string, error) { return t.child(ctx, want, args) })
	}
	if t.isolate == nil {
		t.late = append(t.late, check)
		return nil
	}
	return check()
}

// keep copies a file that a later step writes anew.
func (t *tour) keep(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return t.save(fmt.Sprintf("snapshot-%d.elr1", t.steps), b)
}

func (t *tour) child(ctx context.Context, want verify.Verdict, args []string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	command := append(append([]string{}, t.isolate...), self)
	command = append(command, args...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			return "", err
		}
	}
	var r struct {
		Verdict verify.Verdict `json:"verdict"`
		Reason  string         `json:"reason"`
		AsOf    string         `json:"as_of"`
		Number  string         `json:"number"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(out.Bytes()), &r); err != nil {
		return "", fmt.Errorf("verify: %w: %s", err, said.String())
	}
	if r.Verdict != want {
		return "", fmt.Errorf("verdict %s (%s), want %s", r.Verdict, r.Reason, want)
	}
	how := strings.Join(t.isolate, " ")
	if t.isolate == nil {
		how = "city stopped"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s, status as of %s (%s)", r.Verdict, r.Number, r.AsOf, how)), nil
}

// audit recomputes the log in a child process.
func (t *tour) audit(ctx context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	args := []string{"audit", "verify", "--data", t.data}
	if t.database != "" {
		args = append(args, "--database", t.database)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil || !strings.HasSuffix(last, " problems=0") {
		return "", fmt.Errorf("%s: %w", strings.Join(lines, "; "), err)
	}
	return last, nil
}
