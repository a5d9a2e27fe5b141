"""What a reviewer sees and does: the pages, and a candidate beside the champion."""
