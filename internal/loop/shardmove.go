package loop

import "context"

func (l *Leader) finishMove(context.Context, *preparation) error { return nil }
