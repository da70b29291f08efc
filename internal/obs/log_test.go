package obs_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/obs"
)

func TestLoggerAddsTheRequestID(t *testing.T) {
	ctx := obs.WithRequestID(context.Background(), "r1")
	for _, tt := range []struct {
		name string
		json bool
		want string
	}{{"json", true, `"request":"r1"`}, {"text", false, "request=r1"}} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			log := obs.NewLogger(&b, nil, tt.json)
			log.With("component", "keys").InfoContext(ctx, "key moved")
			if !strings.Contains(b.String(), tt.want) || !strings.Contains(b.String(), "keys") {
				t.Errorf("log %q", &b)
			}
			b.Reset()
			log.InfoContext(context.Background(), "started")
			if strings.Contains(b.String(), "request") {
				t.Errorf("an id out of nowhere: %q", &b)
			}
		})
	}
}

func TestLoggerFollowsItsLevel(t *testing.T) {
	var b bytes.Buffer
	var level slog.LevelVar
	log := obs.NewLogger(&b, &level, true)
	log.Debug("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	level.Set(slog.LevelError)
	log.Warn("three")
	if got := b.String(); strings.Contains(got, "one") || !strings.Contains(got, "two") || strings.Contains(got, "three") {
		t.Errorf("log %q", got)
	}
}

func TestRequestIDWithoutOne(t *testing.T) {
	if got := obs.RequestID(context.Background()); got != "" {
		t.Errorf("id %q", got)
	}
}
