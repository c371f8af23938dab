package tools

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Tier says how much a test run shall do: "ci", minutes and the default, "e2e",
// an hour with every tool and server, or "soak", days. It is the variable
// TUNESAFE_TIER; anything else there counts as "ci".
func Tier() string {
	switch tier := os.Getenv("TUNESAFE_TIER"); tier {
	case "e2e", "soak":
		return tier
	}
	return "ci"
}

// Count is the number of rounds for the tier of this run.
func Count(t testing.TB, ci, e2e, soak int) int {
	t.Helper()
	switch Tier() {
	case "e2e":
		return e2e
	case "soak":
		return soak
	}
	return ci
}

// Seed returns a seed for the test's random choices and logs it: a new one, or
// the value of TUNESAFE_SEED.
func Seed(t testing.TB) int64 {
	t.Helper()
	seed := time.Now().UnixNano()
	if s := os.Getenv("TUNESAFE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatalf("TUNESAFE_SEED: %v", err)
		}
	}
	t.Logf("seed: repeat with TUNESAFE_SEED=%d", seed)
	return seed
}

// StepByStep marks a test that does one thing after another: in CI the race detector,
// which makes it six times as long, leaves it to the run without it.
func StepByStep(t testing.TB) {
	t.Helper()
	if raced && Tier() == "ci" {
		t.Skip("one step after another, run without the race detector")
	}
}
