package city

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// The schedule is looked at so often, and by one replica: a lease outlives its
// holder's turn by a little.
const (
	scheduleEvery = time.Minute
	scheduleLease = 3 * scheduleEvery
	scheduleName  = "keys.schedule"
	scheduleActor = "schedule"
	dueSoon       = 30 * day
	remindEvery   = day
)

// schedule does what the calendar of keys says.
type schedule struct {
	due      *prometheus.GaugeVec   // steps that wait for somebody, by purpose and step
	failed   *prometheus.CounterVec // by purpose
	holder   string
	reminded time.Time
}

// Calendar returns the next steps of every key in the order of their times.
func (c *City) Calendar(ctx context.Context) ([]keys.Step, error) { return c.calendar(ctx, c.now()) }

func (c *City) calendar(ctx context.Context, now time.Time) ([]keys.Step, error) {
	list, err := c.Ring.List(ctx, keys.Filter{})
	if err != nil {
		return nil, err
	}
	seen := map[keys.Place]bool{}
	var places []keys.Place
	for _, k := range list {
		p := keys.Place{Purpose: k.Purpose, Owner: k.Owner}
		if inLife := k.State != keys.Retired && k.State != keys.Compromised; inLife && !seen[p] {
			seen[p] = true
			places = append(places, p)
		}
	}
	steps := keys.Calendar(list, c.policies, places, now)
	for i := range steps {
		// Only the root can name or certify these.
		if s := &steps[i]; (s.Do == keys.DoStage || s.Do == keys.DoPublish) && byRoot(s.Purpose) {
			s.Automatic = false
		}
	}
	renewals, err := serviceSteps(list)
	steps = append(steps, renewals...)
	slices.SortStableFunc(steps, func(a, b keys.Step) int { return a.At.Compare(b.At) })
	return steps, err
}

// serviceSteps returns when the certificates of TLS and OCSP are renewed, which
// ca does by itself.
func serviceSteps(list []keys.Key) (steps []keys.Step, err error) {
	for _, k := range list {
		if k.State != keys.Active || k.Purpose != keys.PurposeTLS && k.Purpose != keys.PurposeOCSP {
			continue
		}
		cert, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			return nil, err
		}
		steps = append(steps, keys.Step{Key: k, Purpose: k.Purpose, Owner: k.Owner, Do: DoRenew, Automatic: true,
			At: cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) * 2 / 3)})
	}
	return steps, nil
}

// DoRenew is the step of a key whose certificate ends: a new key follows it.
const DoRenew = "renew"

// byRoot reports whether the next key of a purpose takes an act of the root.
func byRoot(purpose string) bool {
	switch purpose {
	case keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog, keys.PurposeCA:
		return true
	}
	return false
}

// runSchedule keeps to the calendar until ctx ends. Any number of replicas may run
// it: the one with the lease acts.
func (c *City) runSchedule(ctx context.Context) error {
	ticker := time.NewTicker(scheduleEvery)
	defer ticker.Stop()
	for {
		if err := c.keepSchedule(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "keep key schedule", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// keepSchedule does what is due, if this replica's turn it is.
func (c *City) keepSchedule(ctx context.Context) error {
	now := c.now()
	mine, err := c.DB.Lease(ctx, scheduleName, c.schedule.holder, scheduleLease, now)
	if err != nil || !mine {
		return err
	}
	steps, err := c.calendar(ctx, now)
	if err != nil {
		return err
	}
	c.schedule.due.Reset()
	remind := now.Sub(c.schedule.reminded) >= remindEvery
	for _, s := range steps {
		switch {
		case s.Do == DoRenew: // ca does it
		case s.Automatic && s.Due(now):
			if err := c.do(ctx, s); err != nil && ctx.Err() == nil {
				c.schedule.failed.WithLabelValues(s.Purpose).Inc()
				c.log.ErrorContext(ctx, "scheduled step of a key", slog.String("step", s.Do), slog.String("purpose", s.Purpose),
					slog.String("owner", s.Owner), slog.Any("error", err))
			}
		case !s.Automatic && s.Due(now.Add(dueSoon)):
			c.schedule.due.WithLabelValues(s.Purpose, s.Do).Inc()
			if remind {
				c.log.WarnContext(ctx, "a key waits for officers", slog.String("step", s.Do), slog.String("purpose", s.Purpose),
					slog.String("owner", s.Owner), slog.Time("due", s.At))
			}
		}
	}
	if remind {
		c.schedule.reminded = now
	}
	return nil
}

// do takes one step. Another replica, or an officer, may have been faster.
func (c *City) do(ctx context.Context, s keys.Step) error {
	err := c.doStep(ctx, s)
	if fault.KindOf(err) == fault.Conflict {
		c.log.InfoContext(ctx, "scheduled step of a key is no longer to be taken", slog.String("step", s.Do), slog.String("purpose", s.Purpose), slog.Any("error", err))
		return nil
	}
	return err
}

func (c *City) doStep(ctx context.Context, s keys.Step) error {
	way, err := c.wayOf(s.Purpose)
	if err != nil {
		return err
	}
	switch s.Do {
	case keys.DoStage, keys.DoPublish:
		return way.prepare(ctx, s.Owner, scheduleActor)
	case keys.DoPromote:
		active, err := c.inUse(ctx, s.Purpose, s.Owner)
		if err != nil {
			return err
		}
		if active == nil {
			active = &s.Key
		}
		_, err = c.Rotate(ctx, s.Purpose, s.Owner, active.ID, scheduleActor, false)
		return err
	default:
		return c.Ring.Move(ctx, s.Key.ID, keys.Retired, scheduleActor, "its time is over")
	}
}
