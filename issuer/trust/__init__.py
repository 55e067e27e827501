"""What this issuer alone knows: keys in its state folder, which no database holds."""
