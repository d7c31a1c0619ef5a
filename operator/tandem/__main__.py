"""`python -m tandem`"""

from tandem.entry.cli import main

raise SystemExit(main())
