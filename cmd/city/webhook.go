package city

import (
	"context"
	"strings"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/webhook"
	"github.com/signet-city/signet/licenses"
)

// openWebhooks opens what tells other systems of certificates and licences.
func (c *City) openWebhooks(o Options) (err error) {
	c.Webhooks, err = webhook.New(webhook.Options{DB: c.DB, Outbox: c.Outbox, Client: c.Egress, Sealer: c.Ring, Tokens: c.OIDC,
		Areas: []webhook.Area{c.certificateArea(), c.licenseArea()}, Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	return err
}

func (c *City) certificateArea() webhook.Area {
	return webhook.Area{Name: "ca", Scope: ca.Scope, Base: "/ca/v1", Describe: describeCertificate, Kinds: map[string]string{
		"certificate.issue.outcome": "certificate.issued", "certificate.revoke": "certificate.revoked", "certificate.release": "certificate.released",
	}}
}

// describeCertificate tells what stands in the event: it names nobody but agencies.
func describeCertificate(_ context.Context, list []audit.Record) ([]webhook.Notice, error) {
	notices := make([]webhook.Notice, len(list))
	for i, r := range list {
		n := webhook.Notice{EventID: r.ID, Data: map[string]any{"serial": strings.TrimPrefix(r.Object, "certificate:")}}
		n.Agency, _ = r.Data["agency"].(string)
		for _, name := range []string{"issuer", "profile", "agency", "reason", "invalid_from", "not_before", "not_after"} {
			if v, ok := r.Data[name]; ok {
				n.Data[name] = v
			}
		}
		notices[i] = n
	}
	return notices, nil
}

func (c *City) licenseArea() webhook.Area {
	return webhook.Area{Name: "licenses", Scope: licenses.Scope, Base: "/licenses/v1", Describe: c.describeLicense, Kinds: map[string]string{
		licenses.EventOutcome:          "license.issued",
		licenses.EventAct + ".suspend": "license.suspended",
		licenses.EventAct + ".resume":  "license.resumed",
		licenses.EventAct + ".revoke":  "license.revoked",
		licenses.EventAct + ".replace": "license.replaced",
		licenses.EventExpire:           "license.expired",
	}}
}

// describeLicense tells whose licence it is, and how it stood after the event. The reason
// of an act stays inside: it is a clerk's own words.
func (c *City) describeLicense(ctx context.Context, list []audit.Record) ([]webhook.Notice, error) {
	id := func(r audit.Record) string { return strings.TrimPrefix(r.Object, "license:") }
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = id(r)
	}
	found, err := c.Licenses.Outlines(ctx, ids)
	if err != nil {
		return nil, err
	}
	var notices []webhook.Notice
	for _, r := range list {
		l, ok := found[id(r)]
		if !ok {
			continue
		}
		status, ok := r.Data["to"].(string)
		if !ok {
			status = string(licenses.Issued)
		}
		notices = append(notices, webhook.Notice{EventID: r.ID, Agency: l.Agency, Data: map[string]any{
			"id": id(r), "number": l.Number, "type": l.Type, "agency": l.Agency, "status": status}})
	}
	return notices, nil
}
