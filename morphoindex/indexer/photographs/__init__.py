"""Files of pictures: which are meant, what format they have, their pixels, when and where they were taken."""
