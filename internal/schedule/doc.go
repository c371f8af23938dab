// Package schedule says when something may run, by the clock on the wall, and
// how much of the line it may take then. It is pure: the time is an argument.
//
// # Windows and daylight saving
//
// A window is open while the clock on the wall shows a time in it. So the nights
// on which clocks change need no rules of their own: of an hour that is skipped
// nothing is open, and a window that begins in it opens when the clock has
// jumped over it; an hour that comes twice is open both times, or, where a
// window begins or ends in it, whenever the clock shows a time inside. Time is
// local to the [time.Location] of the time asked about.
package schedule
