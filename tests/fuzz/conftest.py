import sys
from pathlib import Path

# The campaign is a package of its own that worker processes import as well.
sys.path.insert(0, str(Path(__file__).parents[2]))
