//go:build race

package tools

// raced: the race detector looks on.
const raced = true
