"""Will it fit, how long will it take, which method: before anything is spent."""
