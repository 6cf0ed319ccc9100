package balance

// isStep says that a row of beats is told better by one jump from a level to
// another than by a level from which a straight line rises: least squares over
// every beat where the one or the other may begin. The jump must leave less than a
// share of what the line leaves. A load that has jumped needs what it needs now; to
// draw the jump on as a trend would buy half as much again.
func isStep(a series, share float64) bool {
	n := float64(len(a))
	mean := a.mean()
	var step, line float64 // the squares that each explains, at its best
	var right, rightX float64
	for i := len(a) - 1; i > 0; i-- {
		// To the right of here lie k beats. The line is 0 before them, then 1 to k;
		// right is the sum of their loads, rightX that of their loads times it.
		k := n - float64(i)
		rightX += right + float64(a[i])
		right += float64(a[i])
		jump := right/k - mean
		step = max(step, jump*jump*k*n/(n-k))
		sum := k * (k + 1) / 2
		spread := sum*(2*k+1)/3 - sum*sum/n
		if slope := rightX - sum*mean; slope > 0 {
			line = max(line, slope*slope/spread)
		}
	}
	all := a.squares(mean)
	return all-step < share*(all-line)
}
