package main

import (
	"os"
	"slices"
	"strings"
)

// secretVariables are what the environment may hold of the store's credentials.
var secretVariables = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
}

// childEnv is the environment for programs that this one starts: they need no
// credentials, and what is in an environment outlives its use, and is inherited.
func childEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(secretVariables, name)
	})
}

// forgetCredentials takes them out of this process's environment, which libraries
// hand on to what they start.
func forgetCredentials() {
	for _, name := range secretVariables {
		os.Unsetenv(name)
	}
}
