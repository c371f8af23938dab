//go:build !crashpoint

// Package crashpoint names the moments at which the death of the program must
// lose nothing: between two steps whose order ARCHITECTURE.md gives.
//
// In a program as it is given out [At] does nothing, and the compiler leaves
// nothing of it. Built with "-tags crashpoint", the variable TUNESAFE_CRASH=name:N
// has the process killed, as kill -9 does, when it passes the point of that name
// for the Nth time. tests/crash finds the points in the source, dies at each of
// them, and looks at what is left.
package crashpoint

// At marks a point. A name stands at one place only.
func At(string) {}
