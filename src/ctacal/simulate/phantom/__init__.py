"""A drawn thorax with known calcium: analytic shapes, blur and noise, no scanner physics (``thorax.draw_thorax``)."""
